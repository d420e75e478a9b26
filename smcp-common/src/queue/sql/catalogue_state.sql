SELECT wanted, scanned, version, scanned_at, problems, choices FROM catalogue
