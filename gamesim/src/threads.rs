//! The threads of the game process.

use crate::args::RunArgs;
use crate::game::{Game, Inbox, Pool};
use crate::helper::Window;
use crate::render::{Presented, Renderer};
use crate::stage::Stage;
use crate::{input, sys};
use anyhow::{Context, Result, anyhow};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

/// Real-time priority of the game's threads under `--oracle`.
const ORACLE_PRIORITY: i32 = 10;

/// The running game.
#[derive(Debug)]
pub struct Threads {
    /// The game thread.
    pub game: JoinHandle<Result<()>>,
    /// The render thread.
    pub render: JoinHandle<Result<Presented>>,
    /// The input thread, where there is input.
    pub input: Option<JoinHandle<Result<input::Read>>>,
    /// Closing it ends the game.
    pub inbox: Arc<Inbox>,
    /// Closed at its other end when the render thread ends.
    pub ended: std::os::unix::net::UnixStream,
}

fn spawn<T: Send + 'static>(
    name: String,
    oracle: bool,
    body: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<JoinHandle<Result<T>>> {
    let context = format!("cannot start thread {name}");
    let wrapped = move || {
        if oracle {
            sys::set_fifo(ORACLE_PRIORITY).context("--oracle needs root or a real-time limit")?;
        }
        body()
    };
    thread::Builder::new()
        .name(name)
        .spawn(wrapped)
        .context(context)
}

/// Waits for a thread and gives its result.
///
/// # Errors
/// The thread's own, or that it panicked.
pub fn join<T>(handle: JoinHandle<Result<T>>) -> Result<T> {
    let name = handle.thread().name().unwrap_or("unnamed").to_owned();
    handle
        .join()
        .map_err(|_| anyhow!("thread {name} panicked"))?
}

/// Starts the threads; takes GPU and input from the stage.
///
/// # Errors
/// When a thread cannot be started.
pub fn start(stage: &mut Stage, args: &RunArgs, window: Window) -> Result<Threads> {
    let play = &args.play;
    let oracle = args.oracle;
    let scale = stage.loops_per_us;
    let inbox = Arc::new(Inbox::default());
    let pool = Arc::new(Pool::default());
    let (ended, end) = std::os::unix::net::UnixStream::pair()?;
    for index in 0..play.workers {
        let (pool, loops) = (Arc::clone(&pool), scale * play.worker_us);
        spawn(format!("worker/{index}"), oracle, move || {
            pool.work(loops);
            Ok(())
        })?;
    }
    let renderer = Renderer {
        mode: play.mode,
        loops: scale * play.render_us,
        gpu: stage.gpu.take(),
        compositor: stage.compositor.socket()?,
        inbox: Arc::clone(&inbox),
        window,
    };
    // Capacity 0: the game hands a frame over when the render thread takes it.
    let (sender, receiver) = mpsc::sync_channel(0);
    let closing = Arc::clone(&inbox);
    let render = spawn("render".to_owned(), oracle, move || {
        let result = renderer.run(&receiver);
        closing.close();
        drop(end);
        result
    })?;
    let input = match stage.source.take() {
        Some(source) => {
            let inbox = Arc::clone(&inbox);
            Some(spawn("input".to_owned(), oracle, move || {
                input::run(source, &inbox, window)
            })?)
        }
        None => None,
    };
    let game = Game {
        mode: play.mode,
        loops: scale * play.game_us,
        jobs: play.workers,
        inbox: Arc::clone(&inbox),
        pool,
    };
    let game = spawn("game".to_owned(), oracle, move || {
        let result = game.play(&sender, window);
        game.pool.close();
        result
    })?;
    Ok(Threads {
        game,
        render,
        input,
        inbox,
        ended,
    })
}
