//! Looking like a game started by Steam, which a detector sees in /proc/PID/environ.

use std::process::Command;

const APP_ID: &str = "SteamAppId";
const GAME_ID: &str = "SteamGameId";

/// Sets Steam's variables for a command: the game.
pub fn mark(command: &mut Command, app_id: u32) {
    let id = app_id.to_string();
    command.env(APP_ID, &id).env(GAME_ID, &id);
}

/// Takes Steam's variables out of a child's environment: helpers are not the game.
pub fn strip(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("Steam") || text.starts_with("STEAM_") {
            command.env_remove(&name);
        }
    }
}
