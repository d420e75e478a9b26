INSERT INTO workflow_steps (workflow, n, step, state) VALUES (?1, ?2, ?3, 'waiting')
