-- Nobody has it any more, and nothing of an earlier approval counts.
UPDATE jobs SET state = 'awaiting_approval', approval_round = approval_round + 1, approved = NULL, failures = ?2, worker = NULL,
                lease_until = NULL, cancel_at = NULL, cancel_by = NULL, cancel_reason = NULL, error_code = NULL,
                error_message = NULL, finished_at = NULL
WHERE num = ?1 RETURNING approval_round
