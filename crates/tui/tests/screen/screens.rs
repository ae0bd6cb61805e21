//! Whole screens, at the usual sizes and at silly ones.

use logtap_capture::Timestamp;
use logtap_tui::Theme;
use logtap_tui::state::{Event, ShownLine};
use ratatui::style::{Color, Modifier};

use crate::fake::{Fake, line};

fn with_ticks(mut fake: Fake) -> Fake {
    for _ in 0..5 {
        fake.tick();
    }
    fake
}

#[test]
fn following_at_80x24() {
    insta::assert_snapshot!(with_ticks(Fake::with_lines(100_000, 80, 24)).screen());
}

#[test]
fn following_at_120x40() {
    insta::assert_snapshot!(with_ticks(Fake::with_lines(100_000, 120, 40)).screen());
}

#[test]
fn following_in_a_tiny_terminal() {
    insta::assert_snapshot!(with_ticks(Fake::with_lines(100, 32, 6)).screen());
}

#[test]
fn the_message_has_room_where_there_is_little() {
    let mut fake = Fake::with_lines(100, 30, 6);
    let starts = |fake: &Fake| {
        let screen = fake.screen();
        let row = screen.lines().nth(1).expect("a row").trim_matches('"').trim_end();
        row.chars().take(16).collect::<String>()
    };
    assert_eq!(starts(&fake), " 10:20:23.000 [w");
    fake.event(Event::Resize(29, 6));
    assert_eq!(starts(&fake), " [web] INFO GET ");
    fake.event(Event::Resize(17, 6));
    assert_eq!(starts(&fake), " INFO GET /items");
    fake.event(Event::Resize(60, 6));
    fake.press("T");
    assert_eq!(starts(&fake), " 2024-01-15T10:2");
    fake.event(Event::Resize(45, 6));
    assert_eq!(starts(&fake), " 10:20:23.000 [w");
}

#[test]
fn before_the_first_line() {
    insta::assert_snapshot!(Fake::with_lines(0, 80, 16).screen());
}

#[test]
fn filters_and_a_search() {
    let mut fake = Fake::with_lines(1000, 100, 20);
    fake.press("/=ERROR<enter>/!order 9<enter>lapp=db<enter>/order 7<enter>NN");
    fake.tick();
    insta::assert_snapshot!(fake.screen());
}

#[test]
fn badges_without_room_are_counted() {
    let mut fake = Fake::with_lines(1000, 60, 8);
    fake.press("/=ERROR<enter>/!order 9<enter>lapp=db,pod=db-0<enter>/order 7<enter>NN");
    fake.tick();
    insta::assert_snapshot!(fake.screen());
}

#[test]
fn nothing_passes_the_filters() {
    let mut fake = Fake::with_lines(1000, 80, 10);
    fake.press("/=no such text<enter>");
    fake.tick();
    insta::assert_snapshot!(fake.screen());
}

#[test]
fn typing_with_a_mistake() {
    let mut fake = Fake::with_lines(1000, 90, 10);
    fake.press("/=a(b<enter>");
    insta::assert_snapshot!(fake.screen());
}

#[test]
fn the_help() {
    let mut fake = Fake::with_lines(1000, 80, 36);
    fake.press("?");
    insta::assert_snapshot!(fake.screen());
}

#[test]
fn the_help_where_it_does_not_fit() {
    let mut fake = Fake::with_lines(1000, 60, 12);
    fake.press("?jjj");
    insta::assert_snapshot!(fake.screen());
}

#[test]
fn the_levels() {
    let mut fake = Fake::with_lines(1000, 80, 24);
    fake.press("L3");
    fake.tick();
    insta::assert_snapshot!(fake.screen());
}

#[test]
fn one_line_of_json_in_full() {
    let message = r#"{"level":"error","user":{"id":7,"ip":"192.0.2.7"},"tags":["a","b"]}"#;
    let mut fake = Fake::new(vec![line(0, 5, message)], 60, 24);
    fake.press("<enter>");
    insta::assert_snapshot!(fake.screen());
}

#[test]
fn long_and_strange_lines() {
    let lines = vec![
        line(0, 3, &"a long line ".repeat(20)),
        line(1, 0, "\u{1b}[31mcoloured\u{1b}[0m \u{1b}[2Jcleared\ttab\nsecond line\u{202e}"),
        line(2, 0, "\u{65e5}\u{672c}\u{8a9e} \u{1f600} wide"),
        ShownLine { message: "no entry at all".into(), ..ShownLine::default() },
    ];
    let mut fake = Fake::new(lines, 60, 9);
    insta::assert_snapshot!("cut", fake.screen());
    fake.press("<right>");
    insta::assert_snapshot!("panned", fake.screen());
    fake.press("W");
    insta::assert_snapshot!("wrapped", fake.screen());
}

#[test]
fn no_text_of_others_does_anything_to_the_screen() {
    let hostile = "\u{1b}]0;t\u{7}\u{1b}[2J\u{9b}5m\u{202e}\u{200b}\u{0}\r\n\u{7f}\u{e0041}\u{301}";
    let text = |name: &str| format!("{name}{hostile}{name}");
    let mut shown = line(0, 5, &text("message"));
    shown.labels = vec![("app".into(), text("sender")), (text("name"), text("value"))];
    shown.metadata = vec![(text("key"), text("more"))];
    let mut fake = Fake::new(
        vec![shown, ShownLine { message: text("torn"), ..ShownLine::default() }],
        120,
        40,
    );
    fake.event(Event::Warned(Timestamp(0), text("warning")));
    fake.event(Event::Told(text("notice"), true));
    for keys in ["", "W", "k<enter>", "<esc>L", "<esc>!", "<esc>?", "<esc>lx", "<esc>w", "<esc>/=a"]
    {
        fake.press(keys);
        fake.event(Event::Paste(text("typed")));
        let state = &mut fake.state;
        state.statistics.talkers = vec![(text("talker"), 9)];
        state.statistics.redaction = Some(text("redaction"));
        state.title.directory = text("directory");
        state.progress.damaged = Some(text("damaged"));
        let cells = fake.cells();
        let symbols: Vec<&str> =
            cells.content().iter().map(ratatui::buffer::Cell::symbol).collect();
        let bad = |symbol: &&&str| {
            symbol.chars().any(|c| {
                c.is_control()
                    || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{e0000}'..='\u{e0fff}')
            })
        };
        assert_eq!(symbols.iter().find(bad), None, "after {keys}");
        // It is made visible, not left out.
        let all = symbols.concat();
        assert!(all.contains("\u{241b}]0;t\u{2407}") || keys.ends_with('?'), "after {keys}: {all}");
    }
}

#[test]
fn numbers_are_never_cut_and_what_is_lost_is_seen() {
    let mut fake = with_ticks(Fake::with_lines(100_000, 80, 24));
    let state = &mut fake.state;
    state.statistics.dropped = 1_234_567;
    state.statistics.refused = 98_765;
    state.statistics.repeated = 12_345_678;
    state.statistics.redaction = Some("email, credit_card, ip, phone, ssn and others".into());
    state.removed = 12;
    state.statistics.talkers = vec![
        ("a-service-with-a-long-name".into(), 123_456_789_012),
        ("\u{65e5}\u{672c}".into(), 7),
    ];
    insta::assert_snapshot!(fake.screen());
}

#[test]
fn warnings_are_counted_and_listed() {
    let mut fake = with_ticks(Fake::with_lines(1000, 64, 14));
    let times = "2024-01-15T10:20:00Z 2024-01-15T10:21:30Z 2024-01-15T10:21:31Z";
    let texts = [
        "senders are put off with 429: the disk is full; --max-disk makes room",
        "the certificate \u{1b}[2J could not be read",
        "senders are put off with 429: the disk is full; --max-disk makes room",
    ];
    for (time, text) in times.split(' ').zip(texts) {
        let time = Timestamp::parse(time).expect("a time");
        fake.event(Event::Warned(time, text.into()));
    }
    let told = fake.screen();
    for _ in 0..7 {
        fake.tick();
    }
    let counted = fake.screen();
    fake.press("!");
    let listed = fake.screen();
    fake.press("<esc>");
    let read = fake.screen();
    insta::assert_snapshot!([told, counted, listed, read].join("\n"));
    let beyond = Timestamp::parse("2024-01-15T10:22:00Z").expect("a time");
    for number in 0..250 {
        fake.event(Event::Warned(beyond, format!("warning {number}")));
    }
    fake.press("!G");
    insta::assert_snapshot!("the_last_of_many_warnings", fake.screen());
    assert_eq!(fake.state.warnings.beyond(), 53);
}

#[test]
fn what_is_lost_is_seen_at_all_times_and_sizes() {
    let mut fake = with_ticks(Fake::with_lines(1000, 80, 24));
    for keys in ["", "?", "<esc>L", "<esc><enter>", "<esc>!", "<esc>/=a(b<enter>", "<esc>Wgg"] {
        fake.press(keys);
        for (width, height) in [(80, 24), (250, 70), (40, 10), (20, 5), (20, 3), (20, 1), (12, 2)] {
            fake.event(Event::Resize(width, height));
            for (dropped, shown) in [(7, ["7", "7"]), (1_234_567, ["1,234,567", "1.2M"])] {
                // A tick would take it back.
                fake.state.statistics.dropped = dropped;
                let screen = fake.screen();
                let texts =
                    shown.map(|number| [format!("DROPPED {number}"), format!("DROP {number}")]);
                assert!(
                    texts.as_flattened().iter().any(|text| screen.contains(text.as_str())),
                    "after {keys} at {width}x{height}:\n{screen}"
                );
            }
        }
        fake.event(Event::Resize(80, 24));
    }
}

#[test]
fn everything_at_40x10() {
    let mut fake = with_ticks(Fake::with_lines(1000, 40, 10));
    fake.state.title.directory = "/var/lib/captures/friday".into();
    let mut screens = Vec::new();
    for keys in ["", "?", "<esc>L", "<esc>/", "=a(b<enter>", "<esc>w", "<esc>mak<enter>"] {
        fake.press(keys);
        screens.push(format!("{keys}\n{}", fake.screen()));
    }
    insta::assert_snapshot!(screens.join("\n"));
}

#[test]
fn a_window_over_wide_characters_has_its_border() {
    let lines = (0..20).map(|number| line(number, 0, &"\u{65e5}".repeat(40)));
    let mut fake = Fake::new(lines.collect(), 81, 20);
    fake.press("L");
    let cells = fake.cells();
    let borders = |symbol: &str| cells.content().iter().filter(|c| c.symbol() == symbol).count();
    assert_eq!((borders("\u{250c}"), borders("\u{2502}")), (1, 16));
    let symbol = |x: u16, y: u16| cells.cell((x, y)).map_or("", |cell| cell.symbol());
    let bordered: Vec<u16> = (0..20).filter(|y| symbol(20, *y) == "\u{2502}").collect();
    assert_eq!(bordered.len(), 8);
    assert!(bordered.iter().all(|y| symbol(19, *y) != "\u{65e5}"));
    assert!((0..20).any(|y| symbol(19, y) == "\u{65e5}"), "it would be there");
}

#[test]
fn standing_still_while_lines_come() {
    let mut fake = Fake::with_lines(1000, 80, 12);
    fake.press("uuma");
    fake.lines = Fake::with_lines(2000, 80, 12).lines;
    fake.tick();
    insta::assert_snapshot!(fake.screen());
}

#[test]
fn colours_are_for_those_who_want_them() {
    let mut fake = Fake::with_lines(100, 80, 24);
    fake.press("/order<enter>k");
    let colours = |fake: &Fake| {
        let cells = fake.cells();
        let is_coloured =
            |cell: &&ratatui::buffer::Cell| cell.fg != Color::Reset || cell.bg != Color::Reset;
        cells.content().iter().filter(is_coloured).count()
    };
    assert!(colours(&fake) > 200);
    fake.state.title.theme = Theme { colour: false };
    assert_eq!(colours(&fake), 0);
    let reversed = |cell: &&ratatui::buffer::Cell| cell.modifier.contains(Modifier::REVERSED);
    assert!(fake.cells().content().iter().filter(reversed).count() >= "order".len());
    fake.state.title.theme = Theme { colour: true };
    let errors = |cell: &&ratatui::buffer::Cell| cell.fg == Color::Red;
    assert!(fake.cells().content().iter().filter(errors).count() >= "ERROR".len());
}

#[test]
fn a_screen_of_any_size_is_drawn() {
    let mut fake = Fake::with_lines(100, 80, 24);
    for width in 1..=250 {
        fake.event(Event::Resize(width, 18));
        fake.cells();
    }
    fake.press("/=E<enter>/o<enter>W");
    for keys in ["", "?", "<esc>L", "<esc><enter>", "<esc>!", "<esc>/abc"] {
        fake.press(keys);
        for width in [1, 2, 5, 20, 39, 40, 41, 65, 66, 200] {
            // Where something comes or goes, and one less.
            for height in [1, 2, 3, 4, 7, 8, 12, 13, 14, 24, 35, 36] {
                fake.event(Event::Resize(width, height));
                fake.cells();
            }
        }
        fake.event(Event::Resize(80, 24));
    }
}
