SELECT name, data FROM plugins ORDER BY name
