//! Several copies of the library, and other preloads beside it.
