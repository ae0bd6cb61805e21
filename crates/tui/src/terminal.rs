//! The terminal: taken for the screen, and always given back, after a panic too.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::fd::AsFd as _;
use std::panic::{self, PanicHookInfo};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use ratatui::backend::{Backend as _, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{execute, queue};
use ratatui::layout::{Rect, Size};

type Hook = Arc<dyn Fn(&PanicHookInfo<'_>) + Send + Sync + 'static>;

/// The terminal while the screen is there.
///
/// The library's own type for this panics when it is dropped after the terminal has gone away.
pub(crate) struct Screen {
    backend: CrosstermBackend<BufWriter<File>>,
    /// What is on the screen.
    shown: Buffer,
    /// What will be.
    next: Buffer,
    /// The same terminal, for what is not drawn.
    raw: File,
    mouse: bool,
    taken: bool,
    hook: Hook,
    panics: Arc<Mutex<Vec<String>>>,
}

impl Screen {
    /// Takes the terminal that stdout is.
    pub(crate) fn take(mouse: bool) -> io::Result<Self> {
        let open = || io::stdout().as_fd().try_clone_to_owned().map(File::from);
        let backend = CrosstermBackend::new(BufWriter::with_capacity(64 << 10, open()?));
        let raw = open()?;
        let panics = Arc::default();
        let hook: Hook = Arc::from(panic::take_hook());
        set_hook(Arc::clone(&hook), raw.try_clone()?, Arc::clone(&panics));
        let mut screen = Self {
            backend,
            shown: Buffer::default(),
            next: Buffer::default(),
            raw,
            mouse,
            taken: false,
            hook,
            panics,
        };
        screen.enter()?;
        Ok(screen)
    }

    /// Takes the terminal again after [`Screen::leave`].
    pub(crate) fn enter(&mut self) -> io::Result<()> {
        self.taken = true;
        enable_raw_mode()?;
        execute!(self.raw, EnterAlternateScreen, EnableBracketedPaste, Hide)?;
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

    /// Draws a frame of this size; only what has changed is sent.
    pub(crate) fn draw(&mut self, size: Size, draw: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        let area = Rect::new(0, 0, size.width, size.height);
        if self.shown.area != area {
            self.backend.clear()?;
            self.shown = Buffer::empty(area);
        }
        self.next.resize(area);
        self.next.reset();
        draw(&mut self.next);
        self.backend.draw(self.shown.diff(&self.next).into_iter())?;
        ratatui::backend::Backend::flush(&mut self.backend)?;
        std::mem::swap(&mut self.shown, &mut self.next);
        Ok(())
    }

    /// Gives the terminal back.
    pub(crate) fn leave(&mut self) -> io::Result<()> {
        if !std::mem::take(&mut self.taken) {
            return Ok(());
        }
        restore(&mut self.raw)
    }

    /// Takes the mouse or leaves it to the terminal.
    pub(crate) fn set_mouse(&mut self, mouse: bool) -> io::Result<()> {
        self.mouse = mouse;
        if mouse {
            execute!(self.raw, EnableMouseCapture)
        } else {
            execute!(self.raw, DisableMouseCapture)
        }
    }

    /// Sends something to the terminal that is not drawn.
    pub(crate) fn send(&mut self, sequence: &str) -> io::Result<()> {
        self.raw.write_all(sequence.as_bytes())
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

fn restore(raw: &mut File) -> io::Result<()> {
    queue!(raw, DisableMouseCapture, DisableBracketedPaste, Show, LeaveAlternateScreen)?;
    raw.flush()?;
    disable_raw_mode()
}

/// A panic of the screen's own thread gives the terminal back before it is told; one of another thread
/// is kept until there is room for it.
fn set_hook(usual: Hook, raw: File, panics: Arc<Mutex<Vec<String>>>) {
    let own = thread::current().id();
    let raw = Mutex::new(raw);
    panic::set_hook(Box::new(move |info| {
        if thread::current().id() == own {
            drop(restore(&mut raw.lock().unwrap_or_else(PoisonError::into_inner)));
            usual(info);
        } else {
            panics.lock().unwrap_or_else(PoisonError::into_inner).push(info.to_string());
        }
    }));
}
