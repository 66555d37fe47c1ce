// SPDX-License-Identifier: Apache-2.0

/// How a program has ended that the agent ran: a field of the answer to the request for it.
public enum ProgramEnd: Equatable, Sendable {
    /// With this status (`exit`).
    case exited(UInt64)
    /// By this signal, which was not the agent's (`signal`).
    case killed(signal: UInt64)
    /// The agent killed it because its time was over (`timeout`).
    case timedOut

    /// Reads it from an answer; nil where that does not have it once.
    public init?(_ answer: ControlLine) {
        switch (answer.number("exit"), answer.number("signal"), answer.number("timeout")) {
        case (let status?, nil, nil): self = .exited(status)
        case (nil, let signal?, nil): self = .killed(signal: signal)
        case (nil, nil, 1): self = .timedOut
        default: return nil
        }
    }

    /// Adds it to an answer.
    public func describe(in answer: ControlLine) -> ControlLine {
        switch self {
        case .exited(let status): answer.with("exit", status)
        case .killed(let signal): answer.with("signal", signal)
        case .timedOut: answer.with("timeout", 1)
        }
    }
}
