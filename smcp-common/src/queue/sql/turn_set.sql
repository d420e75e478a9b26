INSERT INTO turns (scope, lane, agent, served) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (scope, lane, agent) DO UPDATE SET served = excluded.served
