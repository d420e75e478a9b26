SELECT wanted, scanned, version, scanned_at, problems FROM catalogue
