SELECT seq, at, kind, agent, job, data, hash FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2
