SELECT chain FROM audit_chain
