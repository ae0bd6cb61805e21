//! What was typed.

use logtap_capture::LabelMatcher;
use ratatui::crossterm::event::KeyEvent;

use crate::prompt::Typed;
use crate::state::{Effect, Goal, MAX_RULES, Mode, Pattern, Prompt, Purpose, Rule, State};

impl State {
    pub(super) fn prompt_key(&mut self, mut prompt: Prompt, key: KeyEvent) -> Vec<Effect> {
        match prompt.key(key) {
            Typed::Changed => {
                self.mode = Mode::Prompt(prompt);
                Vec::new()
            }
            Typed::Given => {
                self.mode = Mode::Normal;
                Vec::new()
            }
            Typed::Accepted => match self.accept(&prompt) {
                Ok(effects) => {
                    self.mode = Mode::Normal;
                    effects
                }
                Err(text) => {
                    // What was typed stays, to be mended.
                    self.tell(text, true);
                    self.mode = Mode::Prompt(prompt);
                    Vec::new()
                }
            },
        }
    }

    fn accept(&mut self, prompt: &Prompt) -> Result<Vec<Effect>, String> {
        self.notice = None;
        let text = prompt.text.as_str();
        match prompt.purpose {
            Purpose::Search => self.accept_search(text),
            Purpose::Label => {
                let labels = parse_labels(text)?;
                if self.spec.labels == labels {
                    return Ok(Vec::new());
                }
                self.spec.labels = labels;
                Ok(self.show_by_spec())
            }
            Purpose::Time if text.trim().is_empty() => Ok(Vec::new()),
            Purpose::Time => Ok(vec![Effect::FindTime(text.to_owned())]),
            Purpose::Export => Ok(vec![Effect::Export(text.trim().to_owned())]),
        }
    }

    /// Whether a search is in the chosen line, so that there is nowhere to jump.
    fn is_on(&self, search: &Pattern) -> bool {
        !self.follow
            && self.chosen().is_some_and(|row| {
                let values = row.line.labels.iter().map(|(_, value)| value);
                values.chain([&row.line.message]).any(|text| search.is_in(text.as_bytes()))
            })
    }

    fn accept_search(&mut self, text: &str) -> Result<Vec<Effect>, String> {
        let (hide, pattern) = match (text.strip_prefix('!'), text.strip_prefix('=')) {
            (Some(pattern), _) => (true, pattern),
            (_, Some(pattern)) => (false, pattern),
            _ => {
                self.spec.search = if text.is_empty() { None } else { Some(Pattern::smart(text)?) };
                let mut effects = self.show_by_spec();
                if self.spec.search.as_ref().is_some_and(|search| !self.is_on(search)) {
                    effects.extend(self.seek(Goal::Match, true));
                }
                return Ok(effects);
            }
        };
        if pattern.is_empty() {
            return Err("the filter is empty  hint: /!re hides, /=re keeps".to_owned());
        }
        if self.spec.rules.len() >= MAX_RULES {
            return Err(format!("{MAX_RULES} filters are stacked already  hint: Esc drops one"));
        }
        self.spec.rules.push(Rule { hide, pattern: Pattern::exact(pattern)? });
        Ok(self.show_by_spec())
    }
}

/// Conditions with commas between them; nothing is no condition.
fn parse_labels(text: &str) -> Result<Vec<LabelMatcher>, String> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(LabelMatcher::parse).collect()
}
