//! The loop: events in, frames out, at a fixed rate that does not depend on how many lines come.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use logtap_capture::{CaptureError, Timestamp};
use ratatui::crossterm::event::Event as Raw;
use signal_hook::consts::{SIGCONT, SIGTSTP};

use crate::ascii;
use crate::clipboard;
use crate::draw::draw;
use crate::export::Export;
use crate::input::{self, Input, Typed};
use crate::pager::Pager;
use crate::state::{Effect, Event, State, Tick, Title};
use crate::statistics::Source;
use crate::terminal::Screen;
use crate::theme::Theme;
use crate::time;

/// Time between two frames where nobody types.
const FRAME: Duration = Duration::from_millis(100);
/// Events that are taken before the next frame.
const MAX_EVENTS: usize = 256;

/// What the screen shows.
#[derive(Clone, Debug)]
pub struct Options {
    /// The capture directory.
    pub directory: PathBuf,
    /// Where pushes are taken, as it is shown.
    pub address: String,
    /// Colours or not.
    pub theme: Theme,
    /// Whether the terminal shows ASCII alone.
    pub ascii: bool,
}

/// How a screen has ended.
#[derive(Debug)]
pub struct Ended {
    /// What is left to be told, in the order in which it happened: warnings that nobody has read, the end of an export.
    pub told: Vec<String>,
    /// Whether the terminal takes nothing any more: whoever writes to it may wait for ever.
    pub is_stuck: bool,
    /// Why, unless somebody has quit, the source is over, or the terminal has gone away.
    pub outcome: Result<(), TuiError>,
}

/// Why there is no screen, or no more.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// The terminal does not do it.
    #[error("failed to use the terminal: {0}")]
    Terminal(#[from] io::Error),
    /// The capture cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A mistake in the screen itself. The terminal was given back, and the panic told on stderr.
    #[error("the screen has failed: {0}")]
    Panicked(String),
}

/// Shows the screen until somebody quits or the source has ended.
pub fn run(options: Options, source: &mut dyn Source) -> Ended {
    let mut ended = Ended { told: Vec::new(), is_stuck: false, outcome: Ok(()) };
    ended.outcome = show(options, source, &mut ended);
    ended
}

fn show(options: Options, source: &mut dyn Source, ended: &mut Ended) -> Result<(), TuiError> {
    let pager = Pager::open(&options.directory)?;
    let suspended = Arc::new(AtomicBool::new(false));
    let registration = signal_hook::flag::register(SIGTSTP, Arc::clone(&suspended))?;
    let continued = Arc::new(AtomicBool::new(false));
    let continuation = signal_hook::flag::register(SIGCONT, Arc::clone(&continued))?;
    let mut screen = Screen::take(true)?;
    let size = screen.size()?;
    let title = Title {
        address: options.address.clone(),
        directory: options.directory.display().to_string(),
        theme: options.theme,
    };
    let mut driver = Driver {
        state: State::new(title, size.width, size.height),
        pager,
        failure: None,
        export: None,
        options,
        started: Instant::now(),
        ended: false,
        suspended,
        continued,
    };
    // What shows the receiver must not end it: where it fails, whoever runs it decides how to go on.
    let outcome = catch_unwind(AssertUnwindSafe(|| driver.run(&mut screen, source)));
    let left = screen.leave();
    signal_hook::low_level::unregister(registration);
    signal_hook::low_level::unregister(continuation);
    screen.take_panics().into_iter().for_each(|text| driver.warn(text));
    drop(screen);
    ended.told.extend(driver.state.warnings.left());
    ended.is_stuck = matches!(left, Ok(false));
    // An export is finished before the capture is closed, if the one who asked for it has time.
    if let Some(export) = driver.export.take() {
        if driver.ended && !ended.is_stuck && !export.is_finished() {
            let path = export.state().path;
            source.note(format!("finishing the export to {path}; Ctrl-C gives it up"));
        }
        while !export.is_finished() {
            if !driver.ended || ended.is_stuck || source.is_over() {
                export.stop();
            }
            sleep(FRAME);
        }
        ended.told.push(match export.finish() {
            Ok(text) => text,
            Err(text) => format!("failed to export: {text}"),
        });
    }
    let outcome = outcome.map_err(|payload| TuiError::Panicked(words(&*payload)))?;
    // A terminal that has gone away is a way to quit.
    if !input::is_gone() {
        outcome?;
        left?;
    }
    Ok(())
}

/// What a panic says.
fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}

struct Driver {
    state: State,
    pager: Pager,
    /// What could not be read the last time that something was.
    failure: Option<String>,
    export: Option<Export>,
    options: Options,
    started: Instant,
    ended: bool,
    suspended: Arc<AtomicBool>,
    continued: Arc<AtomicBool>,
}

impl Driver {
    fn run(&mut self, screen: &mut Screen, source: &mut dyn Source) -> io::Result<()> {
        let input = Input::start()?;
        let mut next = Instant::now();
        while !self.ended && !source.is_over() {
            if self.suspended.swap(false, Ordering::Relaxed) {
                suspend(screen)?;
                self.continued.store(false, Ordering::Relaxed);
            }
            if self.continued.swap(false, Ordering::Relaxed) {
                // Stopped from outside, without a word: what the terminal was meanwhile is not known.
                screen.take_again()?;
            }
            if Instant::now() >= next {
                self.tick(screen, source)?;
                next = Instant::now() + FRAME;
            }
            let size = screen.size()?;
            if (size.width, size.height) != (self.state.width, self.state.height) {
                let effects = self.state.update(Event::Resize(size.width, size.height));
                self.perform(screen, effects)?;
            }
            let is_ascii = self.options.ascii;
            screen.draw(size, |buffer| {
                draw(&self.state, buffer);
                if is_ascii {
                    ascii::reduce(buffer);
                }
            })?;
            let mut wait = next.saturating_duration_since(Instant::now());
            for _ in 0..MAX_EVENTS {
                let event = match input.next(wait) {
                    Typed::Event(event) => event,
                    Typed::Nothing => break,
                    Typed::Gone => return Ok(()),
                };
                wait = Duration::ZERO;
                let effects = match event {
                    Raw::Key(key) => self.state.update(Event::Key(key)),
                    Raw::Paste(text) => self.state.update(Event::Paste(text)),
                    Raw::Mouse(mouse) => self.state.update(Event::Mouse(mouse)),
                    Raw::Resize(..) | Raw::FocusGained | Raw::FocusLost => Vec::new(),
                };
                self.perform(screen, effects)?;
                if self.ended {
                    break;
                }
            }
        }
        Ok(())
    }

    fn tick(&mut self, screen: &mut Screen, source: &mut dyn Source) -> io::Result<()> {
        self.pager.refresh();
        let failure = self.pager.take_failure();
        // What fails in each frame is told once.
        if failure != self.failure {
            self.failure.clone_from(&failure);
            failure.into_iter().for_each(|text| self.warn(text));
        }
        for text in screen.take_panics().into_iter().chain(source.notices()) {
            self.warn(text);
        }
        if self.export.as_ref().is_some_and(Export::is_finished)
            && let Some(export) = self.export.take()
        {
            match export.finish() {
                Ok(text) => drop(self.state.update(Event::Told(text, false))),
                Err(text) => self.warn(format!("failed to export: {text}")),
            }
        }
        let tick = Tick {
            now: self.started.elapsed(),
            statistics: source.statistics(self.state.talker_label()),
            progress: self.pager.progress(),
            removed: self.pager.removed(),
            exporting: self.export.as_ref().map(Export::state),
        };
        let effects = self.state.update(Event::Tick(Box::new(tick)));
        self.perform(screen, effects)
    }

    fn perform(&mut self, screen: &mut Screen, effects: Vec<Effect>) -> io::Result<()> {
        let mut effects = VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            let event = match effect {
                Effect::Page(request) => {
                    Event::Page(self.pager.page(&request, self.state.log_height()))
                }
                Effect::Spec => {
                    self.pager.set_spec(&self.state.spec);
                    continue;
                }
                Effect::Seek(seek) => {
                    Event::Sought(self.pager.seek(seek.goal, &seek.from, seek.forward))
                }
                Effect::FindTime(text) => Event::Time(self.find_time(&text)),
                Effect::Export(name) => {
                    match Export::start(&self.options.directory, &name, &self.state.spec) {
                        Ok(export) => self.export = Some(export),
                        Err(text) => effects.extend(self.state.update(Event::Told(text, true))),
                    }
                    continue;
                }
                Effect::StopExport => {
                    if let Some(export) = &self.export {
                        export.stop();
                    }
                    continue;
                }
                Effect::Copy(text) => match clipboard::sequence(&text) {
                    Some(sequence) => {
                        screen.send(&sequence)?;
                        Event::Told(format!("copied {} bytes", text.len()), false)
                    }
                    None => Event::Told("too long for the clipboard; w exports".to_owned(), true),
                },
                Effect::Mouse(mouse) => {
                    screen.set_mouse(mouse)?;
                    continue;
                }
                Effect::Redraw => {
                    screen.forget();
                    continue;
                }
                Effect::Suspend => {
                    suspend(screen)?;
                    continue;
                }
                Effect::Quit => {
                    self.ended = true;
                    continue;
                }
            };
            effects.extend(self.state.update(event));
        }
        Ok(())
    }

    fn warn(&mut self, text: String) {
        self.state.update(Event::Warned(Timestamp::now(), text));
    }

    fn find_time(&mut self, text: &str) -> Result<crate::state::Place, String> {
        let range = self.pager.time_range().ok_or("there are no lines yet")?;
        let wanted = time::parse(text, range)?;
        self.pager
            .find_time(wanted)
            .ok_or_else(|| format!("no line at or after {wanted}; the last one is of {}", range.1))
    }
}

/// Gives the terminal back and stops the process until the shell continues it.
fn suspend(screen: &mut Screen) -> io::Result<()> {
    screen.leave()?;
    signal_hook::low_level::emulate_default_handler(SIGTSTP)?;
    screen.enter()
}
