//! Who is told what becomes of a capture: the flags for webhooks, alert rules and the audit trail.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use logtap_recv::audit::Audit;
use logtap_recv::notify::EventKind;
use logtap_recv::notify::alert::{Rule, parse_rules};
use logtap_recv::notify::webhook::{WebhookAuth, WebhookError, WebhookOptions, Webhooks};
use logtap_recv::watch::Observers;
use logtap_units::read;

use crate::error::{CommandError, Kind};

/// Flags about who is told.
#[derive(clap::Args)]
#[command(next_help_heading = "Notifications")]
pub(crate) struct ObserverArgs {
    /// Address that is sent each event as JSON by POST; may be repeated, or a list with commas
    #[arg(
        long,
        value_name = "URL",
        value_delimiter = ',',
        visible_alias = "webhook-url",
        env = "LOGTAP_RECV_WEBHOOKS"
    )]
    webhook: Vec<String>,
    /// Events that are sent: start, rotation, error, disk-warning, alert, stop [default: all]
    #[arg(long, value_name = "EVENT", value_delimiter = ',', env = "LOGTAP_RECV_WEBHOOK_EVENTS")]
    webhook_events: Vec<String>,
    /// How webhooks say who sends them: bearer:TOKEN or hmac-sha256:SECRET
    #[arg(
        long,
        value_name = "SCHEME:SECRET",
        env = "LOGTAP_RECV_WEBHOOK_AUTH",
        hide_env_values = true
    )]
    webhook_auth: Option<String>,
    /// YAML file of rules that send the event `alert`
    #[arg(long, value_name = "FILE")]
    alert_rules: Option<PathBuf>,
    /// Size of the audit trail, beyond which its older half goes
    #[arg(long, value_name = "SIZE", default_value = "64MB", value_parser = read::size)]
    max_audit: u64,
}

/// The flags, checked before anything is made.
pub(crate) struct Checked {
    webhooks: Option<Webhooks>,
    rules: Vec<Rule>,
    max_audit: u64,
}

impl ObserverArgs {
    /// Checks what can be checked without a capture.
    pub(crate) fn check(&self) -> Result<Checked, CommandError> {
        let wrong = |text: String| CommandError::new(Kind::Arguments, text);
        let given = |texts: &[String]| -> Vec<String> {
            texts
                .iter()
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty())
                .collect()
        };
        let events: BTreeSet<EventKind> = given(&self.webhook_events)
            .iter()
            .map(|name| name.parse())
            .collect::<Result<_, _>>()
            .map_err(|error: logtap_recv::notify::UnknownEvent| wrong(error.to_string()))?;
        let auth = self.webhook_auth.as_deref().map(str::parse::<WebhookAuth>).transpose();
        let auth = auth.map_err(wrong)?;
        let urls = given(&self.webhook);
        let needs_address =
            [(!events.is_empty(), "--webhook-events"), (auth.is_some(), "--webhook-auth")];
        if urls.is_empty()
            && let Some((_, flag)) = needs_address.iter().find(|(given, _)| *given)
        {
            return Err(wrong(format!("`{flag}` without a webhook does nothing"))
                .hinted("add --webhook URL"));
        }
        let rules = self.alert_rules.as_deref().map(read_rules).transpose()?.unwrap_or_default();
        let webhooks = (!urls.is_empty()).then_some(WebhookOptions { urls, events, auth });
        let webhooks = webhooks.map(Webhooks::start).transpose().map_err(|error| {
            let kind = match &error {
                WebhookError::Start(_) => Kind::Internal,
                WebhookError::Address { .. } | WebhookError::Token => Kind::Arguments,
            };
            CommandError::new(kind, error)
                .hinted("an address is http://HOST/PATH or https://HOST/PATH")
        })?;
        Ok(Checked { webhooks, rules, max_audit: self.max_audit })
    }
}

impl Checked {
    /// Opens the trail in the capture's directory.
    pub(crate) fn start(
        self,
        directory: &Path,
        notices: Option<Sender<String>>,
    ) -> Result<Observers, CommandError> {
        let audit = Audit::open(directory, self.max_audit).map_err(|error| {
            let text =
                format!("failed to open the audit trail in `{}`: {error}", directory.display());
            CommandError::new(Kind::of(&error), text)
        })?;
        let Self { webhooks, rules, .. } = self;
        Ok(Observers { audit: Arc::new(audit), webhooks, rules, notices })
    }
}

fn read_rules(path: &Path) -> Result<Vec<Rule>, CommandError> {
    let text = fs::read_to_string(path).map_err(|error| {
        let text = format!("failed to read alert rules `{}`: {error}", path.display());
        CommandError::new(Kind::of(&error), text).hinted("name a readable file of YAML")
    })?;
    parse_rules(&text).map_err(|error| {
        CommandError::new(Kind::Arguments, format!("`{}`: {error}", path.display())).hinted(
            "a rule is {name, metric: logs_dropped|logs_received|drop_rate|disk_pct, op: gt|lt|gte|lte, threshold}",
        )
    })
}
