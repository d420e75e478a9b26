SELECT name, scope, version, sealed FROM secrets
