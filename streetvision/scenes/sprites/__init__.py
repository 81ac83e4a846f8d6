"""Single things of the street with transparency, made by a small ray caster, to be laid over photographs."""
