// SPDX-License-Identifier: Apache-2.0
// Compiled by nobody: the layering tests ask only what this file could include.
