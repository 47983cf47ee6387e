/**
 * How old a command may be that begins to change something (docs/architecture.md, "Executed once").
 *
 * A host that gets no answer repeats the command on another path. What it sent first may still lie in a socket or a ring of
 * a director that hangs: executed late, it would undo what was acknowledged since. Hosts wait for seconds before they give a path
 * up (open-iscsi 5 s for a ping and as long for a session, ESXi 10 s, Windows 15 s): what is older than this is refused, BUSY.
 */
export const COMMAND_AGE_MAX_MICROSECONDS = 3_000_000;
