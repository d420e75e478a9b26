INSERT OR REPLACE INTO session_calls (session, request, job, answer)
SELECT id, ?2, ?3, ?4 FROM sessions WHERE id = ?1
