"""Properties of the Pusher's artifact, which says as what the model was released."""

# 1, or 0 for a model that was refused or is withdrawn.
PUSHED = "pushed"
# 1 for a model that waits for a person's approval, else absent.
PUSHED_STAGED = "pushed_staged"
# The version's folder, once approved, and number; of a withdrawn model those of its earlier release.
PUSHED_DESTINATION = "pushed_destination"
PUSHED_VERSION = "pushed_version"
