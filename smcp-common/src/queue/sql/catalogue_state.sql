SELECT wanted, scanned, version, scanned_at, problems, choices, (SELECT version FROM policies) FROM catalogue
