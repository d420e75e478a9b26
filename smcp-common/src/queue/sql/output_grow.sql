UPDATE jobs SET output_bytes = ?2, printed_bytes = ?3 WHERE num = ?1
