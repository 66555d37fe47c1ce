// SPDX-License-Identifier: Apache-2.0

/// What a matrix is made of: every plan on every kernel and every CPU model, but for what is left out.
public struct MatrixAxes: Equatable, Sendable {
    /// Cells that are left out: those that have all of what it names.
    public struct Exclusion: Equatable, Sendable {
        /// A plan, as the axis names it; nil for any.
        public var plan: String?
        /// A kernel, as the axis names it; nil for any.
        public var kernel: String?
        /// A CPU model; nil for any.
        public var cpu: String?

        /// Names what is left out.
        public init(plan: String? = nil, kernel: String? = nil, cpu: String? = nil) {
            (self.plan, self.kernel, self.cpu) = (plan, kernel, cpu)
        }
    }

    /// Plans, as `run` takes them.
    public var plans: [String]
    /// Kernels, as `run` takes them.
    public var kernels: [String]
    /// CPU models.
    public var cpus: [String]
    /// What is left out.
    public var exclude: [Exclusion]

    /// Collects axes.
    public init(plans: [String], kernels: [String], cpus: [String], exclude: [Exclusion] = []) {
        (self.plans, self.kernels, self.cpus, self.exclude) = (plans, kernels, cpus, exclude)
    }
}
