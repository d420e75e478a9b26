SELECT min(expires_at) FROM approvals WHERE outcome IS NULL
