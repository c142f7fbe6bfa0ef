"""How models become JSON Schema: as pydantic does it, without what only OpenAPI knows."""

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema


class PlainJsonSchema(GenerateJsonSchema):
    """Alternatives that a field tells apart are a plain ``oneOf``: ``discriminator`` is no keyword of JSON Schema."""

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        found = super().tagged_union_schema(schema)
        found.pop("discriminator", None)
        return found
