UPDATE jobs SET output_bytes = ?2, output_truncated = ?3 WHERE num = ?1
