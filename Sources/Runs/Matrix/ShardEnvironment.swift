// SPDX-License-Identifier: Apache-2.0

import HarnessBasics
package import RunRecord

extension Shard {
    /// Where an engine says in its jobs' environment which part is whose.
    ///
    /// Slurm's job arrays, Kubernetes's indexed jobs (which do not tell how many there are), test runners in the manner of
    /// Bazel and googletest, and GitLab CI.
    private enum Engine: String, CaseIterable {
        case slurm = "SLURM_ARRAY_TASK_ID"
        case kubernetes = "JOB_COMPLETION_INDEX"
        case testRunner = "TEST_SHARD_INDEX"
        case gitlab = "CI_NODE_INDEX"
    }

    /// The variable with the number of a Kubernetes job's completions, which the manifest has to set.
    package static let completionCountVariable = "JOB_COMPLETIONS"
    /// The variable with the file that tells a test runner that its shards are heard.
    package static let statusFileVariable = "TEST_SHARD_STATUS_FILE"

    /// The shard that an engine asks for, with the variable that says so; nil where none does.
    ///
    /// - Throws: ``HarnessError`` where what it says is no shard, or two engines ask for different ones.
    package static func inEnvironment(_ environment: [String: String]) throws -> (shard: Shard, variable: String)? {
        var found: (shard: Shard, variable: String)?
        for engine in Engine.allCases where environment[engine.rawValue, default: ""] != "" {
            let shard = try shard(of: engine, in: environment)
            if let found, found.shard != shard {
                throw HarnessError.usage(
                    "\(found.variable) asks for the shard \(found.shard.text), \(engine.rawValue) for \(shard.text): say --shard"
                )
            }
            found = found ?? (shard, engine.rawValue)
        }
        return found
    }

    private static func shard(of engine: Engine, in environment: [String: String]) throws -> Shard {
        func number(_ name: String, default value: Int? = nil) throws -> Int {
            guard let text = environment[name], !text.isEmpty else {
                if let value { return value }
                throw HarnessError.usage("\(engine.rawValue) is set, and \(name) is not: say --shard, or set it")
            }
            guard let number = Int(text), 0...1_000_000_000 ~= number else {
                throw HarnessError.usage("\(name) '\(text.prefix(40))' is no number")
            }
            return number
        }
        let index = try number(engine.rawValue)
        let (first, count): (Int, Int)
        var step = 1
        switch engine {
        case .slurm:
            (first, count) = (try number("SLURM_ARRAY_TASK_MIN"), try number("SLURM_ARRAY_TASK_COUNT"))
            step = max(1, try number("SLURM_ARRAY_TASK_STEP", default: 1))
            let last = try number("SLURM_ARRAY_TASK_MAX", default: first + (count - 1) * step)
            guard last - first == (count - 1) * step else {
                throw HarnessError.usage(
                    "the job array has \(count) tasks from \(first) to \(last): its numbers have to follow each other")
            }
        case .kubernetes: (first, count) = (0, try number(completionCountVariable))
        case .testRunner: (first, count) = (0, try number("TEST_TOTAL_SHARDS"))
        case .gitlab: (first, count) = (1, try number("CI_NODE_TOTAL"))
        }
        guard index >= first, (index - first) % step == 0,
            let shard = Shard(index: (index - first) / step + 1, count: count)
        else {
            throw HarnessError.usage(
                "\(engine.rawValue) \(index) is no shard of \(count), which begin at \(first); there are \(countLimit) at most"
            )
        }
        return shard
    }
}
