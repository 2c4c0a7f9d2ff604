//! Looking like a game started by Steam, which a detector sees in /proc/PID/environ.

use std::os::unix::process::CommandExt;
use std::process::Command;

const APP_ID: &str = "SteamAppId";
const GAME_ID: &str = "SteamGameId";

/// Replaces this process by itself with Steam's variables set, unless they are set already.
///
/// # Errors
/// Those of execve(2).
pub fn become_app(app_id: u32) -> std::io::Result<()> {
    let id = app_id.to_string();
    if std::env::var(APP_ID).as_deref() == Ok(&id) && std::env::var(GAME_ID).as_deref() == Ok(&id) {
        return Ok(());
    }
    let error = Command::new("/proc/self/exe")
        .args(std::env::args_os().skip(1))
        .env(APP_ID, &id)
        .env(GAME_ID, &id)
        .exec();
    Err(error)
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
