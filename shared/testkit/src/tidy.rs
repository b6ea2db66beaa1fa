//! Rules of the repository.
