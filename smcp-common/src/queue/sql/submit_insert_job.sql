INSERT INTO jobs (id, tool, plugin, agent, source, state, lane, priority, effect, run_at, due, arguments,
                  arguments_digest, timeout_ms, max_attempts, idempotency_key, created_at, retry, schedule, workflow, step,
                  approval_round, sealed, strict_sandbox)
VALUES (?1, ?2, ?3, ?4, ?5, iif(?21 = 0, 'queued', 'awaiting_approval'), ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
        ?18, ?19, ?20, ?21, ?22, ?23)
