//! What each key changes.

use logtap_capture::Timestamp;
use logtap_tui::keys::{BINDINGS, action};
use logtap_tui::state::{Effect, Event, Mode, Row, TimeStyle};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEventKind};

use crate::fake::{Fake, line};

/// 1,000 lines; the log has 16 rows.
fn fake() -> Fake {
    Fake::with_lines(1000, 80, 24)
}

#[test]
fn it_follows_until_somebody_moves_and_again_when_asked() {
    let mut fake = fake();
    assert!(fake.state.follow);
    assert_eq!((fake.span(), fake.chosen()), ((984, 999), 999));
    fake.press("k");
    assert!(!fake.state.follow);
    assert_eq!((fake.span(), fake.chosen()), ((984, 999), 998));
    let more = Fake::with_lines(1100, 80, 24).lines;
    fake.lines = more;
    fake.tick();
    assert_eq!((fake.span(), fake.chosen()), ((984, 999), 998), "the page stands still");
    assert_eq!(fake.state.lines_since(), 1100 * 2 - 1000);
    for (stop, go) in [("k", "f"), ("u", "G"), (" ", " "), ("<pgup>", "<end>"), ("f", "G")] {
        fake.press(stop);
        assert!(!fake.state.follow, "{stop}");
        fake.press(go);
        assert!(fake.state.follow, "{go}");
        assert_eq!(fake.chosen(), 1099);
    }
}

#[test]
fn lines_half_pages_and_pages_move_over_the_whole_capture() {
    let mut fake = fake();
    fake.press("gg");
    assert_eq!((fake.span(), fake.chosen()), ((0, 15), 0));
    fake.press("k<up>u");
    assert_eq!((fake.span(), fake.chosen()), ((0, 15), 0));
    fake.press("jj<down>");
    assert_eq!((fake.span(), fake.chosen()), ((0, 15), 3));
    fake.press("d");
    assert_eq!((fake.span(), fake.chosen()), ((8, 23), 11));
    fake.press("<c-d>");
    assert_eq!((fake.span(), fake.chosen()), ((16, 31), 19));
    fake.press("<pgdn>");
    assert_eq!((fake.span(), fake.chosen()), ((32, 47), 35));
    fake.press("<c-u><pgup><c-b><c-f>");
    assert_eq!(fake.chosen(), 16);
    for _ in 0..15 {
        fake.press("j");
    }
    assert_eq!(fake.chosen(), 31);
    let (first, last) = fake.span();
    assert!(first <= 31 && 31 <= last);
    fake.press("<end>k");
    fake.press("<pgdn><pgdn>j");
    assert_eq!((fake.span(), fake.chosen()), ((984, 999), 999));
    assert!(!fake.state.follow, "moving to the end is not following");
    fake.press("<home>");
    assert_eq!(fake.chosen(), 0);
    fake.press("gk");
    assert_eq!(fake.state.mode, Mode::Normal, "one g and something else is nothing");
}

#[test]
fn search_goes_from_match_to_match_in_the_middle_of_the_screen() {
    let mut fake = fake();
    fake.press("n");
    assert!(fake.state.notice.as_ref().unwrap().text.contains("/ searches"));
    fake.press("/order 5\\d7<enter>");
    assert!(!fake.state.follow, "while following the newest match is jumped to");
    assert_eq!((fake.chosen(), fake.state.match_number), (597, Some(10)));
    assert_eq!(fake.state.cursor, fake.state.log_height() / 2);
    fake.press("NN");
    assert_eq!((fake.chosen(), fake.state.match_number), (577, Some(8)));
    fake.press("nnn");
    assert_eq!(fake.chosen(), 597);
    assert_eq!(
        fake.state.notice.as_ref().unwrap().text,
        "no match further down; N looks further up"
    );
    fake.press("NN/order 5[789]7<enter>");
    assert_eq!(fake.chosen(), 577, "a match that one is on already is not left");
    fake.press("fn");
    assert_eq!(fake.chosen(), 597, "nothing is further down while following");
    fake.press("<esc><esc>");
    assert_eq!(fake.state.spec.search, None);
}

#[test]
fn case_counts_in_a_search_only_if_it_has_capitals() {
    let mut fake = fake();
    fake.press("/error<enter>");
    assert_eq!(fake.chosen(), 997);
    fake.press("/ERROr<enter>N");
    assert_eq!(
        fake.state.notice.as_ref().unwrap().text,
        "no match further up; n looks further down"
    );
}

#[test]
fn filters_stack_and_escape_takes_back_the_last() {
    let mut fake = fake();
    fake.press("/=ERROR<enter>/!order 9<enter>");
    assert_eq!(fake.state.spec.rules.len(), 2);
    assert_eq!(fake.chosen(), 897);
    fake.press("l");
    fake.press("app=db,pod=db-0<enter>");
    assert_eq!(fake.state.spec.labels.len(), 2);
    assert_eq!(fake.chosen() % 3, 2);
    fake.press("/gone<enter>");
    for rules in [2, 1, 0, 0] {
        fake.press("<esc>");
        assert_eq!(fake.state.spec.rules.len(), rules);
    }
    assert!(fake.state.spec.shows_all(), "labels go last");
    fake.press("lapp=web<enter>l<c-u><enter>");
    assert!(fake.state.spec.labels.is_empty(), "nothing is all");
    for (typed, senders) in [
        ("app=web,app=db", &[0, 2][..]),
        ("app!=web", &[1, 2]),
        ("app=~c.*|d.", &[1, 2]),
        ("app!~.*b,pod!=x", &[1]),
    ] {
        fake.press(&format!("l<c-u>{typed}<enter>"));
        let of = |row: &Row| (row.place.offset % 3) as usize;
        let rows = &fake.state.page.rows;
        assert!(rows.iter().all(|row| senders.contains(&of(row))), "{typed}");
        assert!(senders.iter().all(|sender| rows.iter().any(|row| of(row) == *sender)), "{typed}");
    }
    fake.press("l<c-u>app=we*<enter>");
    assert!(fake.state.notice.as_ref().unwrap().text.contains("write app=~we.*"));
}

#[test]
fn the_chosen_line_stays_where_it_is_when_a_filter_comes_or_goes() {
    let mut fake = fake();
    fake.press("gg<pgdn><pgdn>jjj/=ERROR<enter>");
    let (row, line) = (fake.state.cursor, fake.chosen());
    assert_eq!(line, 37);
    fake.press("<esc>");
    assert_eq!(fake.chosen(), 37);
    assert_eq!(fake.state.cursor, row);
}

#[test]
fn bad_input_is_told_and_can_be_mended() {
    let mut fake = fake();
    fake.press("/=a(b<enter>");
    assert!(fake.state.notice.as_ref().unwrap().text.contains("`a(b`"));
    let Mode::Prompt(prompt) = &fake.state.mode else { panic!("{:?}", fake.state.mode) };
    assert_eq!(prompt.text, "=a(b");
    fake.press("<back><back><enter>");
    assert_eq!(fake.state.spec.rules.len(), 1);
    fake.press("<esc>/!<enter>");
    assert!(fake.state.notice.as_ref().unwrap().is_bad);
    fake.press("<esc>lnolabel<enter>");
    assert!(fake.state.notice.as_ref().unwrap().text.contains("`nolabel`"));
    assert!(fake.state.spec.shows_all());
}

#[test]
fn text_of_any_script_can_be_typed_and_pasted() {
    let mut fake = fake();
    fake.press("/gr\u{fc}");
    fake.event(Event::Paste("\u{65e5}\u{672c}\n".into()));
    let Mode::Prompt(prompt) = &fake.state.mode else { panic!("{:?}", fake.state.mode) };
    assert_eq!(prompt.text, "gr\u{fc}\u{65e5}\u{672c} ");
}

#[test]
fn errors_are_jumped_to_in_both_directions() {
    let mut fake = fake();
    fake.press("E");
    assert_eq!(fake.chosen(), 997);
    fake.press("EEe");
    assert_eq!(fake.chosen(), 987);
    assert!(fake.state.spec.counting && fake.state.spec.shows_all());
}

#[test]
fn levels_are_hidden_and_shown_by_digits() {
    let mut fake = fake();
    fake.press("L3");
    assert_eq!(fake.chosen(), 997);
    fake.press("3");
    assert_eq!(fake.chosen(), 999);
    fake.press("35a<esc>");
    assert_eq!(fake.state.mode, Mode::Normal);
    assert!(fake.state.spec.shows_all());
}

#[test]
fn marks_stay_with_their_lines() {
    let mut fake = fake();
    fake.press("ggjjjma");
    fake.press("G'a");
    assert_eq!(fake.chosen(), 3);
    assert_eq!(fake.state.notice.as_ref().unwrap().text, "mark a set");
    fake.press("/=ERROR<enter>G'a");
    assert_eq!(fake.chosen(), 7);
    assert!(fake.state.notice.as_ref().unwrap().text.contains("mark a is hidden or removed"));
    fake.press("<esc><esc>'a");
    assert_eq!((fake.chosen(), fake.state.notice.as_ref()), (3, None));
    fake.press("'b");
    assert!(fake.state.notice.as_ref().unwrap().text.contains("mark b"));
    fake.press("m1");
    assert!(fake.state.notice.as_ref().unwrap().is_bad);
    assert_eq!(fake.state.marks.len(), 1);
}

#[test]
fn what_is_not_about_lines_is_asked_for() {
    let mut fake = fake();
    fake.press("gg");
    fake.press("yYt10:42<enter>w./out<enter>Mq");
    fake.press("<c-l><c-z><c-c>");
    let message = fake.lines[0].message.clone();
    let raw = fake.lines[0].raw.clone().unwrap();
    assert_eq!(
        fake.asked,
        [
            Effect::Copy(message),
            Effect::Copy(raw),
            Effect::FindTime("10:42".into()),
            Effect::Export("./out".into()),
            Effect::Mouse(false),
            Effect::Quit,
            Effect::Redraw,
            Effect::Suspend,
            Effect::Quit,
        ]
    );
    let place = fake.state.page.rows[9].place.clone();
    fake.event(Event::Time(Ok(place)));
    assert_eq!(fake.chosen(), 9);
    fake.event(Event::Time(Err("`x` is no time".into())));
    assert!(fake.state.notice.as_ref().unwrap().is_bad);
}

#[test]
fn looks_are_toggled() {
    let mut fake = fake();
    fake.press("T");
    assert_eq!(fake.state.time_style, TimeStyle::Full);
    fake.press("TT<right><right><left>");
    assert_eq!((fake.state.time_style, fake.state.pan), (TimeStyle::Clock, 16));
    fake.press("W");
    assert_eq!((fake.state.wrap, fake.state.pan), (true, 0));
    assert_eq!(fake.state.talker_label(), Some("app"));
    fake.press("s");
    assert_eq!(fake.state.talker_label(), Some("pod"));
    fake.press("ss");
    assert_eq!(fake.state.talker_label(), Some("pod"));
    let before = fake.state.log_height();
    fake.press("S");
    assert_eq!(fake.state.log_height(), before + 5);
    assert_eq!(fake.state.page.rows.len(), before + 5);
}

#[test]
fn windows_open_scroll_and_close() {
    let mut fake = fake();
    fake.press("?jj");
    assert_eq!(fake.state.mode, Mode::Help(2));
    fake.press("q");
    assert_eq!(fake.state.mode, Mode::Normal, "q closes the help, not the receiver");
    fake.press("<enter>jy");
    assert_eq!(fake.state.mode, Mode::Detail(0), "there is no more of it");
    assert!(!fake.state.follow, "the line stays");
    fake.press("<esc>");
    assert_eq!(fake.state.mode, Mode::Normal);
    assert!(matches!(fake.asked[..], [Effect::Copy(_)]));
}

#[test]
fn lines_in_full_follow_each_other() {
    let mut fake = fake();
    fake.press("gg<enter>j<right><right>");
    assert_eq!((fake.state.mode.clone(), fake.chosen()), (Mode::Detail(0), 2));
    fake.press("<left><left><left>");
    assert_eq!((fake.state.mode.clone(), fake.chosen()), (Mode::Detail(0), 0));
    fake.press("ee");
    assert_eq!((fake.state.mode.clone(), fake.chosen()), (Mode::Detail(0), 17));
    fake.press("E");
    assert_eq!((fake.state.mode.clone(), fake.chosen()), (Mode::Detail(0), 7));
    for _ in 0..30 {
        fake.press("<right>");
    }
    assert_eq!(fake.chosen(), 37, "beyond the page too");
}

#[test]
fn windows_scroll_no_further_than_their_text() {
    let message = (0..50).map(|number| number.to_string()).collect::<Vec<_>>().join("\n");
    let mut fake = Fake::new(vec![line(0, 3, &message)], 80, 24);
    for number in 0..60 {
        fake.event(Event::Warned(at(number), format!("warning {number}")));
    }
    for (open, last) in [("?", BINDINGS.len() - 22), ("<enter>", 6 + 50 - 21), ("!", 60 - 21)] {
        fake.press(open);
        fake.press("G");
        let top = *fake.state.clone().mode.top().expect("a window is open");
        assert_eq!(top, last, "{open}");
        fake.press("jjj<pgdn>");
        fake.mouse(MouseEventKind::ScrollDown, 5, 5);
        fake.press("k");
        assert_eq!(*fake.state.clone().mode.top().expect("it is open"), top - 1, "{open}");
        fake.press("gg");
        assert_eq!(*fake.state.clone().mode.top().expect("it is open"), 0, "{open}");
        fake.press("<esc>");
        assert_eq!(fake.state.mode, Mode::Normal);
    }
}

/// So many seconds after 2024-01-15T10:19:59Z.
fn at(second: i64) -> Timestamp {
    Timestamp(1_705_313_999_000_000_000 + second * 1_000_000_000)
}

#[test]
fn warnings_are_unread_until_they_were_on_the_screen() {
    let mut fake = fake();
    let warn = |fake: &mut Fake, second: i64, text: &str| {
        fake.event(Event::Warned(at(second), text.into()));
    };
    for number in 0..40 {
        warn(&mut fake, number, &format!("warning {number}"));
    }
    let told = |fake: &Fake| fake.state.notice.as_ref().map(|notice| notice.text.clone());
    assert_eq!(told(&fake).as_deref(), Some("warning 39"));
    for _ in 0..9 {
        fake.tick();
    }
    assert_eq!(
        (told(&fake), fake.state.warnings.unread()),
        (None, 40),
        "it is gone, not forgotten"
    );
    fake.press("!");
    assert_eq!(fake.state.warnings.unread(), 40 - 21);
    fake.press("j");
    assert_eq!(fake.state.warnings.unread(), 40 - 22);
    // One that comes is in front; what is being read stays.
    warn(&mut fake, 50, "new");
    assert_eq!(fake.state.mode, Mode::Warnings(2));
    warn(&mut fake, 51, "new");
    warn(&mut fake, 52, "warning 10");
    assert_eq!((fake.state.mode.clone(), told(&fake)), (Mode::Warnings(3), None));
    fake.press("G");
    assert_eq!(fake.state.warnings.unread(), 2 + 2, "those that came in front");
    assert_eq!(fake.state.warnings.left().len(), 2);
    fake.press("gg");
    assert_eq!(fake.state.warnings.unread(), 0);
    fake.press("!");
    assert_eq!(fake.state.mode, Mode::Normal);
    // At the top one sees them come.
    fake.press("!");
    warn(&mut fake, 60, "seen at once");
    assert_eq!(fake.state.warnings.unread(), 0);
}

#[test]
fn the_mouse_scrolls_chooses_and_opens() {
    let mut fake = fake();
    fake.mouse(MouseEventKind::ScrollUp, 5, 10);
    assert_eq!(fake.span(), (981, 996));
    assert!(!fake.state.follow);
    fake.mouse(MouseEventKind::Down(MouseButton::Left), 5, 7);
    assert_eq!(fake.chosen(), 981);
    fake.mouse(MouseEventKind::Down(MouseButton::Left), 5, 7);
    assert_eq!(fake.state.mode, Mode::Detail(0));
    fake.press("<esc>");
    fake.mouse(MouseEventKind::ScrollDown, 5, 10);
    fake.mouse(MouseEventKind::ScrollDown, 5, 10);
    assert_eq!(fake.span(), (984, 999));
    fake.mouse(MouseEventKind::Down(MouseButton::Left), 5, 0);
    assert_eq!(fake.state.mode, Mode::Normal, "there is no line");
}

#[test]
fn pages_of_wrapped_lines_pass_over_none() {
    let lines = (0..200).map(|number| line(number, 3, &format!("{number} {}", "word ".repeat(40))));
    let mut fake = Fake::new(lines.collect(), 80, 24);
    fake.press("Wgg");
    let mut seen: Vec<String> = Vec::new();
    for _ in 0..100 {
        let screen = fake.screen();
        let starts = screen.lines().filter_map(|row| row.split_once("] ")?.1.split(' ').next());
        let mut fresh: Vec<String> =
            starts.filter(|word| word.parse::<u32>().is_ok()).map(str::to_owned).collect();
        fresh.retain(|number| !seen.contains(number));
        seen.extend(fresh);
        fake.press("<pgdn>");
    }
    let all: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    assert_eq!(seen, all);
}

#[test]
fn another_size_keeps_the_place() {
    let mut fake = fake();
    fake.press("gg<pgdn>");
    for (width, height) in [(120, 40), (20, 5), (1, 1), (80, 24)] {
        fake.event(Event::Resize(width, height));
        assert_eq!(fake.span().0, 16, "{width}x{height}");
        fake.screen();
    }
}

#[test]
fn no_key_on_any_screen_panics() {
    let keys: Vec<KeyCode> = (' '..='~')
        .map(KeyCode::Char)
        .chain([KeyCode::Enter, KeyCode::Esc, KeyCode::Up, KeyCode::Left, KeyCode::Right])
        .collect();
    for lines in [0, 1, 30] {
        for (width, height) in [(0, 0), (3, 2), (80, 24)] {
            let mut fake = Fake::with_lines(lines, width, height);
            // Any two keys after each other, and what they left behind.
            for first in keys.iter().step_by(4) {
                for second in &keys {
                    let press = |code: KeyCode| Event::Key(KeyEvent::new(code, KeyModifiers::NONE));
                    fake.event(press(*first));
                    fake.event(press(*second));
                }
                fake.tick();
                if width > 0 {
                    fake.screen();
                }
            }
        }
    }
}

#[test]
fn every_key_of_the_help_does_something_and_is_in_the_documents() {
    let documented = include_str!("../../../../docs/tui.md");
    for binding in BINDINGS {
        let row = format!("| {} |", binding.meaning);
        assert!(documented.contains(&row), "not in docs/tui.md: {row}");
        let Some(first) = binding.keys.chars().next().filter(char::is_ascii_alphabetic) else {
            continue;
        };
        let is_word =
            binding.keys.starts_with(['P', 'E', 'C']) || binding.keys.starts_with("wheel");
        let key = KeyEvent::new(KeyCode::Char(first), KeyModifiers::NONE);
        assert!(is_word || action(key).is_some(), "`{first}` does nothing");
    }
}
