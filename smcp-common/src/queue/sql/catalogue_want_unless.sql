UPDATE catalogue SET wanted = wanted + 1 WHERE wanted = ?1 RETURNING wanted
