//! EventService.

use tonic::{Request, Response, Status, async_trait};

use super::{
    calls::{Calls, callers_deadline, deadline},
    convert,
    proto::{ListEventsRequest, ListEventsResponse, WatchEventsRequest, event_service_server::EventService},
    status,
    validate::{self, Fields},
    watches::{WatchStream, Watches},
};
use crate::domain::{Invalid, event_log::Start, page::PageSize};

/// Answers EventService.
pub struct EventHandler {
    calls: Calls,
    watches: Watches,
}

impl EventHandler {
    /// Answers by running `calls`, of which those that watch are `watches`.
    pub fn new(calls: Calls, watches: Watches) -> Self {
        Self { calls, watches }
    }
}

#[async_trait]
impl EventService for EventHandler {
    type WatchEventsStream = WatchStream;

    async fn list_events(
        &self,
        request: Request<ListEventsRequest>,
    ) -> Result<Response<ListEventsResponse>, Status> {
        let deadline = deadline(&request);
        let request = request.into_inner();
        let mut fields = Fields::default();
        let start = fields.check("after", validate::start(&request.after));
        let size = fields.check("page_size", PageSize::parse(request.page_size));
        let (Some(start), Some(size)) = (start, size) else { return Err(fields.refuse()) };
        let limit = u32::try_from(size.get()).unwrap_or(u32::MAX);
        let page = self
            .calls
            .read(deadline, |vestibule| async move { vestibule.list_events(start, limit).await })
            .await?
            .map_err(status::list_events)?;
        let log = page.position.log;
        Ok(Response::new(ListEventsResponse {
            events: page.events.iter().map(|event| convert::event(log, event)).collect(),
            position: page.position.to_string(),
            more: page.more,
        }))
    }

    async fn watch_events(
        &self,
        request: Request<WatchEventsRequest>,
    ) -> Result<Response<WatchStream>, Status> {
        let (deadline, until) = (deadline(&request), callers_deadline(&request));
        let request = request.into_inner();
        let start = match (validate::start(&request.after), request.from_end) {
            (Ok(Start::Oldest), true) => Ok(Start::End),
            (Ok(_), true) => Err(Invalid::new("must be empty, as from_end is set")),
            (start, _) => start,
        };
        let start = validate::field("after", start)?;
        let place = self.watches.take_place()?;
        let watch = self
            .calls
            .read(deadline, |vestibule| async move { vestibule.watch_events(start).await })
            .await?
            .map_err(status::list_events)?;
        Ok(Response::new(self.watches.follow(&self.calls, place, watch, until)))
    }
}
