"""What makes a bucket public to read and private to write, as text for the owner of the store to apply."""

from __future__ import annotations

import json


def aws_public_read_policy(bucket: str) -> str:
    """A bucket policy (JSON) that lets anyone read objects and nobody list them. For AWS, MinIO and Ceph."""
    statement = {
        "Sid": "AnyoneMayReadDurableMedia",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2)


def cors_rules() -> str:
    """CORS rules (JSON) that let players on other sites read ranges."""
    rule = {
        "AllowedOrigins": ["*"],
        "AllowedMethods": ["GET", "HEAD"],
        "AllowedHeaders": ["Range", "If-Range"],
        "ExposeHeaders": ["Accept-Ranges", "Content-Length", "Content-Range", "ETag"],
        "MaxAgeSeconds": 86400,
    }
    return json.dumps({"CORSRules": [rule]}, indent=2)


def supabase_policies(bucket: str) -> str:
    """SQL that makes ``bucket`` public to read, and lets a user write, list and delete only in the own folder.

    The first folder of a key is the owner (S0.12). It can be applied any number of times. Anonymous reading needs
    no policy in a public bucket; a SELECT policy for everyone would only let strangers list it.
    """
    name = bucket.replace("'", "''")
    lines = [
        f"insert into storage.buckets (id, name, public) values ('{name}', '{name}', true)",  # noqa: S608 - printed
        "  on conflict (id) do update set public = true;",
    ]
    own = f"bucket_id = '{name}' and (storage.foldername(name))[1] = (select auth.uid())::text"
    for action, clause in (("insert", "with check"), ("select", "using"), ("delete", "using")):
        policy = '"' + f"{bucket}: owners {action} in their folder".replace('"', '""') + '"'
        lines += [
            "",
            f"drop policy if exists {policy} on storage.objects;",
            f"create policy {policy} on storage.objects",
            f"  for {action} to authenticated {clause} ({own});",
        ]
    return "\n".join(lines) + "\n"
