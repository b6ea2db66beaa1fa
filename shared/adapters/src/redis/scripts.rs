use redis::Script;

/// What Redis does as a whole or not at all.
pub(super) struct Scripts {
    pub(super) claim: Script,
    pub(super) beat: Script,
    pub(super) leave: Script,
    pub(super) release: Script,
    pub(super) holders: Script,
    pub(super) live: Script,
    pub(super) note: Script,
    pub(super) notes: Script,
    pub(super) time: Script,
}

impl Default for Scripts {
    fn default() -> Self {
        let script = |text: &str| Script::new(&format!("{}{text}", include_str!("server.lua")));
        Self {
            claim: script(include_str!("claim.lua")),
            beat: script(include_str!("beat.lua")),
            leave: script(include_str!("leave.lua")),
            release: script(include_str!("release.lua")),
            holders: script(include_str!("holders.lua")),
            live: script(include_str!("live.lua")),
            note: script(include_str!("note.lua")),
            notes: script(include_str!("notes.lua")),
            time: script(include_str!("time.lua")),
        }
    }
}
