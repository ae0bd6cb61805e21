//! The terminal: taken for the screen, and always given back, after a panic too. What it does not take in time is not
//! waited for.

use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ratatui::backend::{Backend as _, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use ratatui::crossterm::queue;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::layout::{Rect, Size};

use crate::outgoing::{Outgoing, Waiting};

/// How long nothing may be taken of a frame before keys and signals are looked at again.
const FRAME_PATIENCE: Duration = Duration::from_millis(20);
/// How long handing over a frame may take until then.
const FRAME_LIMIT: Duration = Duration::from_millis(100);
/// How long nothing may be taken of what gives the terminal back.
const LAST_PATIENCE: Duration = Duration::from_secs(1);
/// How long that may take.
const LAST_LIMIT: Duration = Duration::from_secs(5);

type Hook = Arc<dyn Fn(&PanicHookInfo<'_>) + Send + Sync + 'static>;

/// The terminal while the screen is there.
///
/// The library's own type for this panics when it is dropped after the terminal has gone away.
pub(crate) struct Screen {
    backend: CrosstermBackend<Waiting>,
    outgoing: Outgoing,
    /// What is on the screen.
    shown: Buffer,
    /// What will be.
    next: Buffer,
    mouse: bool,
    /// Whether the terminal is to be given back.
    taken: Arc<AtomicBool>,
    hook: Hook,
    panics: Arc<Mutex<Vec<String>>>,
}

impl Screen {
    /// Takes the terminal that stdout is.
    pub(crate) fn take(mouse: bool) -> io::Result<Self> {
        let outgoing = Outgoing::to_stdout()?;
        let backend = CrosstermBackend::new(outgoing.waiting.clone());
        let (panics, taken) = (Arc::default(), Arc::default());
        let hook: Hook = Arc::from(panic::take_hook());
        let back = Back { terminal: outgoing.terminal()?, taken: Arc::clone(&taken) };
        set_hook(Arc::clone(&hook), back, Arc::clone(&panics));
        let mut screen = Self {
            backend,
            shown: Buffer::default(),
            next: Buffer::default(),
            outgoing,
            mouse,
            taken,
            hook,
            panics,
        };
        screen.enter()?;
        Ok(screen)
    }

    /// Takes the terminal again after [`Screen::leave`].
    pub(crate) fn enter(&mut self) -> io::Result<()> {
        self.taken.store(true, Ordering::Relaxed);
        enable_raw_mode()?;
        queue!(self.outgoing.waiting, EnterAlternateScreen, EnableBracketedPaste, Hide)?;
        // What was there before is not known any more.
        self.shown = Buffer::default();
        self.set_mouse(self.mouse)
    }

    /// Takes the terminal again when somebody else may have used it in between.
    pub(crate) fn take_again(&mut self) -> io::Result<()> {
        // The library takes no terminal that it thinks it has.
        disable_raw_mode()?;
        self.enter()
    }

    /// Takes it that the terminal shows something else; the next frame is sent as a whole.
    pub(crate) fn forget(&mut self) {
        self.shown = Buffer::default();
    }

    /// The size of the terminal now.
    pub(crate) fn size(&self) -> io::Result<Size> {
        self.backend.size()
    }

    /// Draws a frame of this size; only what has changed is sent. Draws nothing as long as the terminal has not taken
    /// what was drawn before.
    pub(crate) fn draw(&mut self, size: Size, draw: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        if !self.pass()? {
            return Ok(());
        }
        let area = Rect::new(0, 0, size.width, size.height);
        if self.shown.area != area {
            self.backend.clear()?;
            self.shown = Buffer::empty(area);
        }
        self.next.resize(area);
        self.next.reset();
        draw(&mut self.next);
        self.backend.draw(self.shown.diff(&self.next).into_iter())?;
        std::mem::swap(&mut self.shown, &mut self.next);
        self.pass()?;
        Ok(())
    }

    fn pass(&mut self) -> io::Result<bool> {
        self.outgoing.pass(FRAME_PATIENCE, FRAME_LIMIT)
    }

    /// Gives the terminal back. Whether it has taken what does that; where it has not, whoever writes to it may wait for
    /// ever.
    pub(crate) fn leave(&mut self) -> io::Result<bool> {
        if !self.taken.swap(false, Ordering::Relaxed) {
            return Ok(true);
        }
        // The rest of a frame that is left is of no use.
        self.outgoing.waiting.clear();
        restore(&mut self.outgoing.waiting)?;
        let given_back = self.outgoing.pass(LAST_PATIENCE, LAST_LIMIT);
        disable_raw_mode()?;
        given_back
    }

    /// Takes the mouse or leaves it to the terminal.
    pub(crate) fn set_mouse(&mut self, mouse: bool) -> io::Result<()> {
        self.mouse = mouse;
        if mouse {
            queue!(self.outgoing.waiting, EnableMouseCapture)
        } else {
            queue!(self.outgoing.waiting, DisableMouseCapture)
        }
    }

    /// Sends something to the terminal that is not drawn.
    pub(crate) fn send(&mut self, sequence: &str) -> io::Result<()> {
        self.outgoing.waiting.write_all(sequence.as_bytes())
    }

    /// What threads said that panicked while the screen was there.
    pub(crate) fn take_panics(&self) -> Vec<String> {
        std::mem::take(&mut *self.panics.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that does not take it back.
        drop(self.leave());
        if !thread::panicking() {
            drop(panic::take_hook());
            let hook = Arc::clone(&self.hook);
            panic::set_hook(Box::new(move |info| hook(info)));
        }
    }
}

/// Everything but the raw mode, which is no matter of what is written.
fn restore(terminal: &mut impl Write) -> io::Result<()> {
    queue!(terminal, DisableMouseCapture, DisableBracketedPaste, Show, LeaveAlternateScreen)?;
    terminal.flush()
}

/// What it takes to give the terminal back from anywhere.
struct Back<Terminal> {
    terminal: Terminal,
    taken: Arc<AtomicBool>,
}

impl<Terminal: Write> Back<Terminal> {
    /// Once: leaving a screen that was left would move the cursor over what was told meanwhile.
    fn give(&mut self) {
        if self.taken.swap(false, Ordering::Relaxed) {
            // Nothing can be done about a terminal that does not take it back.
            drop(restore(&mut self.terminal));
            drop(disable_raw_mode());
        }
    }
}

/// A panic of the screen's own thread gives the terminal back before it is told; one of another thread
/// is kept until there is room for it.
fn set_hook<Terminal: Write + Send + 'static>(
    usual: Hook,
    back: Back<Terminal>,
    panics: Arc<Mutex<Vec<String>>>,
) {
    let own = thread::current().id();
    let back = Mutex::new(back);
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() == own {
            back.lock().unwrap_or_else(PoisonError::into_inner).give();
            usual(info);
        } else {
            panics.lock().unwrap_or_else(PoisonError::into_inner).push(info.to_string());
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A terminal that keeps what is written.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Written {
        fn text(&self) -> String {
            String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
        }
    }

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_gives_the_terminal_back_once_before_it_is_told() {
        let (terminal, taken) = (Written::default(), Arc::new(AtomicBool::new(true)));
        let back = Back { terminal: terminal.clone(), taken: Arc::clone(&taken) };
        let kept: Arc<Mutex<Vec<String>>> = Arc::default();
        let before = panic::take_hook();
        let seen = terminal.clone();
        let tell: Hook = Arc::new(move |info| {
            seen.clone().write_all(format!("<{info}>").as_bytes()).unwrap();
        });
        set_hook(tell, back, Arc::clone(&kept));
        let other = thread::spawn(|| panic!("in another thread")).join();
        let while_taken = terminal.text();
        let own = panic::catch_unwind(|| panic!("in the screen"));
        let again = panic::catch_unwind(|| panic!("a second time"));
        panic::set_hook(before);

        assert!(other.is_err() && own.is_err() && again.is_err());
        assert_eq!(while_taken, "", "the screen stays as it is");
        let kept = kept.lock().unwrap();
        assert!(matches!(&kept[..], [one] if one.contains("in another thread")), "{kept:?}");
        let text = terminal.text();
        let leave = "\x1b[?1049l";
        let (given_back, told) = text.split_once(leave).expect("the screen is left");
        assert!(given_back.contains("\x1b[?25h") && !given_back.contains('<'), "{text:?}");
        assert!(told.contains("in the screen") && told.contains("a second time"), "{text:?}");
        assert!(!told.contains(leave), "{text:?}");
        assert!(!taken.load(Ordering::Relaxed));
    }
}
