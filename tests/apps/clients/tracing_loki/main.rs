//! Logs numbered lines with tracing-loki: ADDRESS and how many, half of them warnings inside a span. Prints the
//! nanoseconds just before and after each, since the library takes the time itself.
//! Refuses to lose lines at its end: it waits until the library has sent them all.

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(count)) = (arguments.next(), arguments.next()) else {
        return Err("usage: tracing_loki ADDRESS COUNT".into());
    };
    let count: u64 = count.parse()?;
    let (layer, controller, task) = tracing_loki::builder()
        .label("app", "tracing")?
        .label("odd", "\"quoted\" back\\slash \u{e4} \u{1f600}\n\t{a=\"b\"}, c")?
        .extra_field("place", "here")?
        .build_controller_url(tracing_loki::url::Url::parse(&address)?)?;
    tracing_subscriber::registry().with(layer).init();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let task = tokio::spawn(task);
        for number in 0..count {
            let before = now()?;
            log(number);
            println!("{before} {}", now()?);
            // The library takes up to 512 lines at once and passes over more of them without a word.
            if number % 40 == 39 {
                tokio::task::yield_now().await;
            }
        }
        controller.shutdown().await;
        task.await?;
        Ok(())
    })
}

fn log(number: u64) {
    if number.is_multiple_of(2) {
        let span = tracing::info_span!("outer", group = number / 100);
        let _inside = span.enter();
        tracing::warn!(
            number,
            "line {number}: \"quoted\" back\\slash \u{e4} \u{1f600} <tag> & tab\there"
        );
    } else {
        tracing::info!(
            number,
            "line {number}: \"quoted\" back\\slash \u{e4} \u{1f600} <tag> & tab\there"
        );
    }
}

fn now() -> Result<u128, std::time::SystemTimeError> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())
}
