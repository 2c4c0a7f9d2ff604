//! Goal: a sound server's clients are known as sound, by who wakes whom. Method: a real PipeWire
//! server on a silent device, with a real client, and neither rtkit nor a session manager.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use scx_gamer::detect::audio;
use scx_gamer::detect::evidence::{Evidence, EvidenceKind};
use scx_gamer::detect::hook::HookKind;
use scx_gamer::detect::relay;
use scx_gamer::intf;

use super::require_vm;
use super::roles::seen_lately;
use crate::support::{Running, start, stay_awake, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);
const DIR: &str = "/run/pipewire_test";
/// Sound that is longer than the test.
const FRAMES: u32 = 48_000 * 600;

const SERVER: &str = r#"
context.properties = {
    core.daemon = true
    core.name = pipewire-0
    default.clock.quantum = 512
    default.clock.min-quantum = 512
    default.clock.max-quantum = 512
}
context.spa-libs = {
    audio.convert.* = audioconvert/libspa-audioconvert
    api.alsa.* = alsa/libspa-alsa
    support.* = support/libspa-support
}
context.modules = [
    { name = libpipewire-module-protocol-native }
    { name = libpipewire-module-metadata }
    { name = libpipewire-module-client-node }
    { name = libpipewire-module-access }
    { name = libpipewire-module-adapter }
    { name = libpipewire-module-link-factory }
]
context.objects = [
    { factory = adapter args = {
        factory.name = api.alsa.pcm.sink
        node.name = speaker
        media.class = Audio/Sink
        api.alsa.path = "hw:Dummy"
        adapter.auto-port-config = { mode = dsp }
    } }
]
"#;

const CLIENT: &str = r"
context.spa-libs = {
    audio.convert.* = audioconvert/libspa-audioconvert
    support.* = support/libspa-support
}
context.modules = [
    { name = libpipewire-module-protocol-native }
    { name = libpipewire-module-metadata }
    { name = libpipewire-module-client-node }
    { name = libpipewire-module-adapter }
]
";

fn command(program: &str, config: &str) -> Command {
    let mut command = Command::new(program);
    command.env("XDG_RUNTIME_DIR", DIR);
    command.env("PIPEWIRE_CONFIG_DIR", DIR);
    command.env("PIPEWIRE_CONFIG_NAME", config);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The head of a file of silence; the samples are a hole.
fn write_silence(path: &Path) {
    let bytes = FRAMES * 4;
    let mut head = b"RIFF".to_vec();
    head.extend((bytes + 36).to_le_bytes());
    head.extend(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    head.extend(48_000u32.to_le_bytes());
    head.extend((48_000u32 * 4).to_le_bytes());
    head.extend(b"\x04\0\x10\0data");
    head.extend(bytes.to_le_bytes());
    fs::write(path, head).unwrap();
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(u64::from(bytes) + 44).unwrap();
}

/// What `pw-link` answers; by itself it waits for the server without end. Its time counts from when its own
/// files are there, as long as this side stays awake.
fn pw_link(args: &[&str]) -> (bool, String) {
    let mut link = command("timeout", "client.conf");
    link.args(["10", "pw-link"]).args(args);
    link.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = link.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output.status.success(), text)
}

/// Server and client, joined.
fn play() -> (Running, Running) {
    fs::create_dir_all(DIR).unwrap();
    let dir = Path::new(DIR);
    fs::write(dir.join("server.conf"), SERVER).unwrap();
    fs::write(dir.join("client.conf"), CLIENT).unwrap();
    let silence = dir.join("silence.wav");
    write_silence(&silence);
    let _awake = stay_awake();
    let server = start(&mut command("pipewire", "server.conf"));
    // Not just its socket: who comes before it listens is refused, and goes.
    let serves = wait_for(PATIENCE, || pw_link(&["--input"]).1.contains("speaker"));
    assert!(serves, "no server: {:?}", pw_link(&["--input"]));
    let mut client = command("pw-cat", "client.conf");
    client.args(["--playback", "--target=0", "--properties"]);
    client.arg("{ node.name = player adapter.auto-port-config = { mode = dsp } }");
    let client = start(client.arg(silence));
    let mut answer = String::new();
    let linked = wait_for(PATIENCE, || {
        let (done, text) = pw_link(&["player:output_FL", "speaker:playback_1"]);
        // The latter when it did its work and was not answered.
        let is_linked = done || text.contains("File exists");
        answer = text;
        is_linked
    });
    assert!(
        linked,
        "client and server cannot be joined: pw-link says {answer:?}"
    );
    (server, client)
}

/// What says that a process's threads serve sound: of its first thread, and of the others.
fn sources(evidence: &Evidence, process: &Running) -> (Option<u32>, Vec<u32>) {
    let pid = process.pid().as_raw();
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let tids = tasks.filter_map(|task| task.file_name().to_str()?.parse::<u32>().ok());
    let source = |tid| {
        let seen = seen_lately(evidence, tid);
        let audio = seen.iter().find(|seen| seen.kind == EvidenceKind::Audio);
        audio.map(|seen| u32::from(seen.source))
    };
    let (first, others): (Vec<u32>, Vec<u32>) = tids.partition(|tid| Ok(*tid) == pid.try_into());
    let first = first.into_iter().find_map(source);
    (first, others.into_iter().filter_map(source).collect())
}

#[test]
#[ignore = "runs inside the VM"]
fn server_and_client_of_pipewire_are_known_by_the_chain_of_wakes() {
    require_vm();
    let evidence = Evidence::create().unwrap();
    let _audio = audio::detect(&evidence, HookKind::BY_COST);
    let _relay = relay::detect(&evidence, HookKind::BY_COST);
    let (server, client) = play();
    let by_device = (None, vec![intf::SOURCE_SOUND]);
    let by_server = (None, vec![intf::SOURCE_RELAY]);
    let of = |process| sources(&evidence, process);
    let known = wait_for(PATIENCE, || {
        of(&server) == by_device && of(&client) == by_server
    });
    assert!(known, "server {:?}, client {:?}", of(&server), of(&client));
}
