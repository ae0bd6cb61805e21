//! What all requests share.

use std::sync::Arc;

use logtap_loki::Mapping;

use crate::body::Budget;
use crate::credentials::Credential;
use crate::faults::FaultPlan;
use crate::meters::Meters;
use crate::notices::Notices;
use crate::push::Intake;
use crate::trail::Trail;
use crate::workers::Workers;

/// What all requests share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) intake: Arc<Intake>,
    pub(crate) budget: Budget,
    pub(crate) meters: Arc<Meters>,
    pub(crate) notices: Arc<Notices>,
    pub(crate) credentials: Arc<[Credential]>,
    pub(crate) faults: Arc<FaultPlan>,
    pub(crate) mapping: Arc<Mapping>,
    pub(crate) trail: Option<Arc<Trail>>,
    pub(crate) workers: Arc<Workers>,
}
