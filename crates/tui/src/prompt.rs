//! One line of text that is being typed: any characters, pasted ones too.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// More than this is not taken.
const MAX_LENGTH: usize = 4096;

/// What the text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A search, or with `!` or `=` in front a filter.
    Search,
    /// Labels, `name=value`.
    Label,
    /// A time to jump to.
    Time,
    /// Where to write the lines that are shown.
    Export,
}

impl Purpose {
    /// What stands before the text.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Search => "/",
            Self::Label => "filter: ",
            Self::Time => "t: ",
            Self::Export => "w: ",
        }
    }

    /// What is expected, while there is nothing.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Search => "text or regex to find   !re hides   =re keeps",
            Self::Label => {
                "app=web  app!=web  app=~we.*  app!~we.*   several with commas, nothing for all"
            }
            Self::Time => "10:42   10:42:07.5   2026-11-21T10:42   -5m",
            Self::Export => "directory for the lines that are shown; nothing: a new one here",
        }
    }
}

/// A text and the place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// What it is for.
    pub purpose: Purpose,
    /// As it is now.
    pub text: String,
    /// The byte before which typing goes on.
    pub cursor: usize,
}

/// What a key did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    Changed,
    Accepted,
    Given,
}

impl Prompt {
    /// Begins with a text.
    pub fn new(purpose: Purpose, text: &str) -> Self {
        Self { purpose, text: text.to_owned(), cursor: text.len() }
    }

    /// Takes a key.
    pub(crate) fn key(&mut self, key: KeyEvent) -> Typed {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Enter => return Typed::Accepted,
            KeyCode::Esc => return Typed::Given,
            KeyCode::Char('c') if control => return Typed::Given,
            KeyCode::Char('u') if control => {
                self.text.drain(..self.cursor);
                self.cursor = 0;
            }
            KeyCode::Char('w') if control => self.erase_word(),
            KeyCode::Char('a') if control => self.cursor = 0,
            KeyCode::Char('e') if control => self.cursor = self.text.len(),
            KeyCode::Char(_) if control => {}
            KeyCode::Char(character) => self.insert(character.encode_utf8(&mut [0; 4])),
            KeyCode::Backspace if self.text.is_empty() => return Typed::Given,
            KeyCode::Backspace => {
                let before = self.before();
                self.text.drain(before..self.cursor);
                self.cursor = before;
            }
            KeyCode::Delete if self.cursor < self.text.len() => {
                self.text.remove(self.cursor);
            }
            KeyCode::Left => self.cursor = self.before(),
            KeyCode::Right => {
                let next = self.text.get(self.cursor..).and_then(|rest| rest.chars().next());
                self.cursor += next.map_or(0, char::len_utf8);
            }
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.text.len(),
            _ => {}
        }
        Typed::Changed
    }

    /// Takes a text that was pasted; line ends and the like become blanks.
    pub(crate) fn insert(&mut self, text: &str) {
        let clean: String = text
            .chars()
            .map(|character| if character.is_control() { ' ' } else { character })
            .collect();
        if self.text.len() + clean.len() <= MAX_LENGTH {
            self.text.insert_str(self.cursor, &clean);
            self.cursor += clean.len();
        }
    }

    fn before(&self) -> usize {
        let before = self.text.get(..self.cursor).and_then(|text| text.chars().next_back());
        self.cursor - before.map_or(0, char::len_utf8)
    }

    fn erase_word(&mut self) {
        let front = self.text.get(..self.cursor).unwrap_or_default().trim_end();
        let start = front.rfind(char::is_whitespace).map_or(0, |place| place + 1);
        self.text.drain(start..self.cursor);
        self.cursor = start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(prompt: &mut Prompt, code: KeyCode) -> Typed {
        prompt.key(KeyEvent::new(code, KeyModifiers::NONE))
    }

    #[test]
    fn any_text_can_be_typed_pasted_and_mended() {
        let mut prompt = Prompt::new(Purpose::Search, "");
        for character in "gr\u{fc}n \u{65e5}".chars() {
            press(&mut prompt, KeyCode::Char(character));
        }
        press(&mut prompt, KeyCode::Left);
        press(&mut prompt, KeyCode::Left);
        press(&mut prompt, KeyCode::Backspace);
        prompt.insert("ss\n");
        assert_eq!(prompt.text, "gr\u{fc}ss  \u{65e5}");
        prompt.key(KeyEvent::new(KeyCode::Char('w'), KeyModifiers::CONTROL));
        assert_eq!(prompt.text, " \u{65e5}");
        press(&mut prompt, KeyCode::Delete);
        assert_eq!((prompt.text.as_str(), prompt.cursor), ("\u{65e5}", 0));
        assert_eq!(press(&mut prompt, KeyCode::Enter), Typed::Accepted);
        press(&mut prompt, KeyCode::Right);
        press(&mut prompt, KeyCode::Backspace);
        assert_eq!(press(&mut prompt, KeyCode::Backspace), Typed::Given);
    }
}
