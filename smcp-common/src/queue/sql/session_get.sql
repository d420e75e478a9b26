SELECT agent, parameters FROM sessions WHERE id = ?1
