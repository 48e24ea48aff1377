"""The Serve application: `serve deploy configs/serve.yaml`, `copylens serve`."""

from ray.serve import Application

from serve.ops.settings import ServeArgs
from serve.replica.deployment import IngressDeployment, ScorerDeployment


def build(args: ServeArgs) -> Application:
    """Ingress, which calls Scorer. `deployments` of a Serve config file overrides the options."""
    scorer = ScorerDeployment.options(
        autoscaling_config={
            "min_replicas": args.replicas_min,
            "max_replicas": args.replicas_max,
            "target_ongoing_requests": 8,
            "upscale_delay_s": args.scale_up_s,
            "downscale_delay_s": args.scale_down_s,
        },
        ray_actor_options={"num_cpus": 1},
    )
    ingress = IngressDeployment.options(
        num_replicas=args.ingresses, ray_actor_options={"num_cpus": 0.5}
    )
    return ingress.bind(args, scorer.bind(args))
