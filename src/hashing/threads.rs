//! The threads that hash, as many as there are slots, each with memory of its own.

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
};

use super::memory::Memory;

type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// Threads that end when this is dropped and their work is done.
pub(super) struct Threads(mpsc::Sender<Job>);

impl Threads {
    pub fn start(count: usize) -> Self {
        let (sender, jobs) = mpsc::channel::<Job>();
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..count {
            let jobs = Arc::clone(&jobs);
            thread::spawn(move || {
                let mut memory = Memory::default();
                loop {
                    // One waits for the next job, the others for their turn to.
                    let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = job else { return };
                    job(&mut memory);
                }
            });
        }
        Self(sender)
    }

    pub fn run(&self, job: Job) {
        // They live for as long as this does.
        let _ = self.0.send(job);
    }
}
