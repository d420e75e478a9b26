SELECT seq, at, kind, agent, job, data, hash FROM audit ORDER BY seq
