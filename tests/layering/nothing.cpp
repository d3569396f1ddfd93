// Compiled by nobody: the layering tests ask only what this file could include.
