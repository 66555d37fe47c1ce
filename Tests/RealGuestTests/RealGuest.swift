// SPDX-License-Identifier: Apache-2.0

import Testing

/// Every test that boots a guest is nested in here: one guest at a time, on machines with two cores.
///
/// Guests differ from machine to machine in nothing but speed, and no test depends on that; the time limit is there for
/// a harness that hangs.
@Suite(.serialized, .timeLimit(.minutes(20)))
enum RealGuest {}
