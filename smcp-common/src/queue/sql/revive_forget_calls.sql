-- A stream that has been answered is over: its session's end must not stop what somebody else asked for.
DELETE FROM session_calls WHERE job = ?1
