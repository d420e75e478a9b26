SELECT job, answer FROM session_calls WHERE session = ?1 AND request = ?2
