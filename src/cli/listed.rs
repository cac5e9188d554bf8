//! What commands have in common that list: page by page up to a limit, and what is told when there is more.

use std::{
    io::{Write as _, stderr},
    process::ExitCode,
};

use super::print;
use crate::domain::page::{Page, PageKey, PageSize};

/// The first of what there is.
pub struct Listed<T> {
    pub items: Vec<T>,
    more: bool,
}

impl<T> Listed<T> {
    /// Asks for pages until there are so many items, or no more.
    pub async fn of(
        limit: u32,
        list: impl AsyncFn(PageSize, Option<PageKey>) -> anyhow::Result<Page<T>>,
    ) -> anyhow::Result<Self> {
        let limit = usize::try_from(limit)?;
        let mut items = Vec::new();
        let mut after = None;
        loop {
            let page = list(PageSize::at_most(limit - items.len()), after).await?;
            items.extend(page.items);
            after = page.next;
            if after.is_none() || items.len() >= limit {
                return Ok(Self { items, more: after.is_some() });
            }
        }
    }

    /// Prints them as they are laid out, and says what is not among them.
    pub fn print(&self, laid_out: &str, things: &str) -> anyhow::Result<ExitCode> {
        if !laid_out.is_empty() {
            print(laid_out)?;
        }
        if self.more {
            writeln!(stderr(), "There may be more {things}; --limit says how many are listed.")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
